# expect: KD701 KD702 KD711 KD715 KD716
from tensorflow.keras.optimizers import Adam
from tensorflow.keras import layers, models

model = models.Sequential([layers.Dense(1)])
model.compile(loss="mse", optimizer=Adam(lr=0.001))
model.fit(x, y, epochs=3)
