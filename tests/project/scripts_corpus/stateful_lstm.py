# expect: KD701 KD702 KD711 KD715
from keras.layers import LSTM, Dense
from keras.models import Sequential

model = Sequential()
model.add(LSTM(4, batch_input_shape=(1, 3, 1), stateful=True))
model.add(Dense(1))
model.compile(loss="mean_squared_error", optimizer="adam")
for i in range(100):
    history = model.fit(x, y, epochs=1, batch_size=1, verbose=2, shuffle=False)
    losses.append(history.history["loss"])
    model.reset_states()
