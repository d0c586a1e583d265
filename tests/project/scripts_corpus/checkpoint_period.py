# expect: KD701 KD702 KD711 KD715
from tensorflow.keras.callbacks import CSVLogger, ModelCheckpoint
from tensorflow.keras import layers, models

model = models.Sequential([layers.Dense(1)])
model.compile("adam", "mse")
checkpoint = ModelCheckpoint("weights.{epoch:02d}.hdf5", save_weights_only=True, period=5)
model.fit(x, y, epochs=20, callbacks=[checkpoint, CSVLogger("log.csv")])
